"""The SDKs' own tests of their resources, sent through the gateway: what a client of the vendor finds is what ours finds."""
