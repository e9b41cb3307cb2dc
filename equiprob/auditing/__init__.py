"""Every question in a row, for people, for test suites and for the command line."""
