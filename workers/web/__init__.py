"""HTTP for machines that watch this process: health and metrics. It changes nothing and shows no data."""
