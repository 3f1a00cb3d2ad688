"""The same unlock and booking as one resident process: only to be measured beside ours."""
