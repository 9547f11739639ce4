"""Dirigent: self-hosted orchestration of language models behind one OpenAI-compatible endpoint."""

__version__ = "0.1.0"
