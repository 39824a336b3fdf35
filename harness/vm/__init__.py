"""Virtual machines: images from Debian's archive, snapshots, and one throw-away copy a case."""
