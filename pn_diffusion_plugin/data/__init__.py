"""From video files to batches: decoding, pose, visual features, corpora, datasets."""
