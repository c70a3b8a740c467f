"""The command line: thin, imports everything, imported by nothing."""
