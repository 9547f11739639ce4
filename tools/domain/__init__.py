"""Makes and measures the readers of subjects; not part of the installed package."""
