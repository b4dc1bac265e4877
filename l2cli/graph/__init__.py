"""The graph: its formula in Keras, its layers and models, and what compiles it."""
