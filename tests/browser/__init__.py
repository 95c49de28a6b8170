"""The page in a real browser, over real encoders and servers. Needs chromium, ffmpeg, nginx and `make assets`."""
