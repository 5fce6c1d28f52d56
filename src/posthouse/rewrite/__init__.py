"""trivial-rewrite(8): completes addresses, and says where a recipient belongs (ADDRESS_CLASS_README)."""
