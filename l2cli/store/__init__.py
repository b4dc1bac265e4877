"""A folder of shards into another."""
