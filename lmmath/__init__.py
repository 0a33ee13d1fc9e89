"""The mathematics of large language models, one module per chapter of the book.

Import what a chapter teaches from the module of its name:

>>> from lmmath.attention import scaled_dot_product_attention
"""
