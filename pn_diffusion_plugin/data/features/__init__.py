"""Features of a dance video: keypoints and visual features, from frames to the feature file."""
