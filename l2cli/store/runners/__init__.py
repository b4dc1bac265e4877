"""What runs the shards of a store."""
