"""AIST++: file names, published keypoints and splits."""
