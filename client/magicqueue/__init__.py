"""The MagicQueue client: see `queue` and `worker`."""
