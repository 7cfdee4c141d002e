"""The tabs, one file each: ``build`` lays out, the functions above it do the work."""
