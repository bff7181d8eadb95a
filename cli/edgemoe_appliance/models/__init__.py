"""Model files: what they hold, where they come from, and twins that stand in for them.

`gguf` reads a header that may be hostile, `arithmetic` counts parameters and the bytes that a token
reads, `fetch` obtains files by digest, `twin` writes a file with the exact tensor shapes and types
of a model and random weights.

>>> from edgemoe_appliance.models.layout import TWIN_ARCHITECTURES
>>> TWIN_ARCHITECTURES
('olmoe', 'llama', 'qwen2', 'gemma2')

Runs no engine, and never takes a name for what a file is: a digest says so.
"""
