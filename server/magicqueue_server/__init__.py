"""The MagicQueue server: `app` joins its parts, `engine` decides, `listener` does I/O."""
