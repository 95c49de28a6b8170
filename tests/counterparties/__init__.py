"""Telarchy beside the programs that people publish and watch with: OBS, GStreamer; VLC, Kodi, mpv."""
