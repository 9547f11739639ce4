"""The SDKs' own tests, sent through the gateway: what a client finds at the vendor, it finds here."""
