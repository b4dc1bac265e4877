"""Sources and destinations, and which arrays of a source are meant."""
