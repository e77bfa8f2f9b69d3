"""What a search is told: settings, their accepted ranges, files and presets."""
