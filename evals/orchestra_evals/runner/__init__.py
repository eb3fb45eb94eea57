"""The runner: samples x systems x models x repeats under one budget a cell, recorded, resumed and scored."""
