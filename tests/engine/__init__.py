"""The engine at work: passes over real devices and files, looked at through independent readers."""
