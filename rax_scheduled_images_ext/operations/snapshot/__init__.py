"""Taking and watching snapshots of servers."""
