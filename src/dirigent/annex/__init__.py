"""Processes of their own, for native code and for what strangers send: what crashes or hangs there costs one answer."""
