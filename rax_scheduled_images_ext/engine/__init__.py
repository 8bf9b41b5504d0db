"""Making scheduled images where the cloud does not: doing what model.plan decides."""
