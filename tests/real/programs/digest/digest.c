#include <gcrypt.h>
#include <stdio.h>

int main(void) {
  if (!gcry_check_version(GCRYPT_VERSION)) return 1;
  gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
  gcry_md_hd_t digest;
  if (gcry_md_open(&digest, GCRY_MD_SHA256, 0)) return 1;
  for (int byte; (byte = getchar()) != EOF;) gcry_md_putc(digest, byte);
  const unsigned char *bytes = gcry_md_read(digest, GCRY_MD_SHA256);
  for (unsigned n = gcry_md_get_algo_dlen(GCRY_MD_SHA256); n--; bytes++) printf("%02x", *bytes);
  puts("");
  return 0;
}
