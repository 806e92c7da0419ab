"""The skeleton is one connected graph, and its partition is a row-normalised adjacency."""

from __future__ import annotations

import numpy as np

from pn_diffusion_plugin.data.skeleton import EDGES, JOINT_NAMES, JOINTS, hop_distance, spatial_partition


def test_every_joint_is_reachable_from_every_other():
    assert hop_distance().max() < JOINTS


def test_edges_are_unique_and_within_the_joints():
    edges = {tuple(sorted(edge)) for edge in EDGES}
    assert len(edges) == len(EDGES)
    assert all(0 <= a < b < JOINTS for a, b in edges)


def test_the_skeleton_is_the_same_on_both_sides():
    swap = [
        JOINT_NAMES.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
        for name in JOINT_NAMES
    ]
    edges = {tuple(sorted(edge)) for edge in EDGES}
    assert {tuple(sorted((swap[a], swap[b]))) for a, b in edges} == edges


def test_partition_sums_to_the_normalised_adjacency():
    adjacency = (hop_distance() <= 1).astype(float)
    expected = adjacency / adjacency.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(spatial_partition().sum(axis=0), expected, atol=1e-6)
