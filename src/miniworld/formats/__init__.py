"""File formats that are written: pictures, lists, MATLAB files, optical flow."""
