"""Video files: finding out what they hold, decoding, cutting, and giving them other sound.

One clock for everything: time zero is when the first frame of the video stream is shown, whatever the container's
time stamps are. Frame i of a stream at `fps` starts at i / fps, sample n of the sound at n / sample_rate, and both
streams are as long as the frames are shown.
"""
