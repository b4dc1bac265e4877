"""What compiles and runs a graph."""
