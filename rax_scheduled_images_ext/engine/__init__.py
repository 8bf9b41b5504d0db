"""Makes scheduled images where the cloud does not, as model.plan decides."""
