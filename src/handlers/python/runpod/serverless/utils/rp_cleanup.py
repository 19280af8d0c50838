"""Removes what a job has left in the working folder."""

import os
import shutil

FOLDERS = ("input_objects", "output_objects", "job_files")


def clean(folder_list=None):
    """Removes the folders and the archive that the SDK's helpers leave, and the folders named."""
    for folder in (*FOLDERS, *(folder_list or ())):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.exists("output.zip"):
        os.remove("output.zip")
