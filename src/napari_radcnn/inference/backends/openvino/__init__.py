"""OpenVINO on the CPU: conversion, and what keeps its rounding small."""
