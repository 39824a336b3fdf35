"""The fuzzer finds what it must find, and its properties hold."""
