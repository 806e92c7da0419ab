"""The 33 joints of BlazePose as a graph.

In the published code six joints are isolated and the head is not connected to the body. Here the graph is connected
(nose to shoulders, hands to wrists, feet to ankles), so that graph convolutions can reach every joint.
"""

from __future__ import annotations

from collections import deque

import numpy as np

JOINT_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
JOINTS = len(JOINT_NAMES)
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 11, 12, 23, 24

EDGES = (
    (0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (0, 9), (0, 10), (9, 10),  # head
    (0, 11), (0, 12),  # neck
    (11, 12), (11, 23), (12, 24), (23, 24),  # trunk
    (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19),  # left arm
    (12, 14), (14, 16), (16, 18), (16, 20), (16, 22), (18, 20),  # right arm
    (23, 25), (25, 27), (27, 29), (27, 31), (29, 31),  # left leg
    (24, 26), (26, 28), (28, 30), (28, 32), (30, 32),  # right leg
)  # fmt: skip


def hop_distance(num_joints: int = JOINTS, edges: tuple[tuple[int, int], ...] = EDGES) -> np.ndarray:
    """Number of edges between every two joints, (J, J); `num_joints` if they are not connected."""
    neighbours: list[list[int]] = [[] for _ in range(num_joints)]
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    distance = np.full((num_joints, num_joints), num_joints, dtype=np.int64)
    for start in range(num_joints):
        distance[start, start] = 0
        queue = deque([start])
        while queue:
            joint = queue.popleft()
            for other in neighbours[joint]:
                if distance[start, other] == num_joints:
                    distance[start, other] = distance[start, joint] + 1
                    queue.append(other)
    return distance


def spatial_partition() -> np.ndarray:
    """Normalised adjacency of ST-GCN's spatial configuration (Yan et al. 2018, arXiv 1801.07455, eq. 7-10).

    Returns:
        (3, J, J): weights of the joint itself and of neighbours at the same distance from the body's centre, of
        nearer ones, and of farther ones. The three sum to the row-normalised adjacency with self loops.
    """
    distance = hop_distance()
    hips_and_shoulders = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP]
    to_centre = distance[:, hips_and_shoulders].mean(axis=1)
    adjacency = (distance <= 1).astype(np.float64)
    adjacency /= adjacency.sum(axis=1, keepdims=True)
    nearer = to_centre[None, :] < to_centre[:, None]
    farther = to_centre[None, :] > to_centre[:, None]
    same = ~(nearer | farther)
    return np.stack([adjacency * same, adjacency * nearer, adjacency * farther]).astype(np.float32)
