"""L2 normalization for files full of embeddings."""

__version__ = "0.1.0"
