"""Where events go beside a file of JSON: systrace's own line, syslog here and elsewhere."""
