"""Pure codecs between octets and values: no session state, no I/O, each split-proof and linear."""
