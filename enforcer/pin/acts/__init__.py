"""What `perform` does for each call once its names are pinned and permitted."""
