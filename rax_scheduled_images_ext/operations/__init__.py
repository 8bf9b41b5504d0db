"""What every front end calls: functions that return data and print nothing."""
