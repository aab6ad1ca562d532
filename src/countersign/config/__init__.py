"""What stands in files and in the environment: catalog, directory and settings, read strictly and refused clearly."""
