"""The settings that a user gives, checked before anything is submitted."""
