"""The functions and classes that a user calls: separate recordings, and work with the result."""
