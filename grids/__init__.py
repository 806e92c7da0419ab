"""Dora grids: `dora grid NAME --dry_run --no_monitoring` lists a grid's cells."""
