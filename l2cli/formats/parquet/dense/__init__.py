"""Pages of rows of one length without nulls, read and made without pyarrow."""
