<?php

declare(strict_types=1);

namespace Acme\Hello;

use Composer\InstalledVersions;

/** What this program was built from, and what it runs on. */
final class Versions implements \JsonSerializable
{
    private function __construct(
        private readonly string $version,
        private readonly string $mode,
    ) {
    }

    /** Reads the file that the image's build leaves beside the program; without one this is a checkout. */
    public static function read(string $file): self
    {
        if (!is_file($file)) {
            return new self('dev', 'dev');
        }
        $build = json_decode((string) file_get_contents($file), true, flags: JSON_THROW_ON_ERROR);

        return new self($build['version'], $build['mode']);
    }

    /** @return array<string, mixed> */
    public function jsonSerialize(): array
    {
        $root = InstalledVersions::getRootPackage()['name'];
        $packages = [];
        foreach (InstalledVersions::getInstalledPackages() as $name) {
            if ($name !== $root) {
                $packages[$name] = InstalledVersions::getPrettyVersion($name);
            }
        }
        ksort($packages);

        return [
            'version' => $this->version,
            'mode' => $this->mode,
            'php' => PHP_VERSION,
            'architecture' => php_uname('m'),
            'packages' => $packages,
        ];
    }
}
