"""What a user calls: separate recordings, and go on with what comes of it."""
