"""Four questions about speed, each asked together with its peer in the same run: what is kept is the ratio, never the seconds."""
