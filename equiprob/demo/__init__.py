"""The demo: from training small networks on handwritten digits to a decision."""
